"""A conversation of real English, written for measurements: somebody works on a text and a program with an assistant.

What is asked for is what people ask chat models for: explain, summarise, rewrite, quote, list, change code. Half of the
replies can repeat what stands in the conversation, half cannot.
"""

from __future__ import annotations

from typing import Final

_NOTICE: Final = """\
The swimming pool in Harbour Street closes for repairs on Monday, 3 March, and opens again on Saturday, 26 April. The
boiler, which dates from 1987, will be replaced by two heat pumps, and the changing rooms will get new tiles. Season
tickets are extended by eight weeks; nobody needs to apply for that. Swimming lessons for children move to the pool of
Northfield School, Tuesdays and Thursdays from four to six. The early swimmers' club meets at the river bath instead, as
long as the water is warmer than fourteen degrees. Questions are answered by Mrs Okafor at the town hall, room 12."""

_CODE: Final = """\
def average(values):
    total = 0
    for value in values:
        total = total + value
    return total / len(values)


def report(name, values):
    print(name, average(values), min(values), max(values))
"""

QUESTIONS: Final = (
    f"Here is a notice from our town:\n\n{_NOTICE}\n\nPlease summarise it in two sentences.",
    "When does the pool open again, and what happens with season tickets? Quote the sentences that say it.",
    "Why do many towns replace old boilers by heat pumps? Explain it to somebody who knows no physics.",
    "Rewrite the notice as a short, friendly letter to the parents of children who take swimming lessons.",
    "Make that letter half as long, and keep the days and the times.",
    "List all dates, days and times of the notice, one a line.",
    "Write the whole notice once more, but with the pool closing on 10 March instead of 3 March.",
    f"Now something else. What does this Python program do?\n\n```python\n{_CODE}```",
    "Change `average` so that it returns 0 for an empty list. Show the whole program.",
    "Rename `report` to `describe` and add a docstring to both functions. Show the whole program.",
    "What is the difference between an average and a median? Give an example with five numbers.",
    "Add a function `median` to the program and show all of it.",
    "Which of the two would you use for house prices in a small town, and why?",
    "Repeat the first paragraph of your letter to the parents, word for word.",
)
