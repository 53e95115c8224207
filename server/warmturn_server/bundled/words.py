"""The words that values are made of."""

FIRST_NAMES = """Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olivia Paul Rosa Sam Tina Victor
Wendy Yara Zoe Alice Bruno Carmen Diego Elena Frank Gina Hugo Irene Jonas Karin Luca Maria Nina Oscar Petra Ralph Sofia Tom
Ursula Vera Will Xena Yusuf Amir Bianca Cyrus Dora Erik Fatima Greta Hassan Ingrid Julia Kenji Lena Marco Nadia Omar Priya
Quinn Rita Sven Tara Umar Viola Wei Ximena Yuki Zara Luna Milo Coco Bella Rex Max Simba Nala Oreo Biscuit Pepper Ginger
Mochi Waffle Whiskers Shadow Ziggy Pickle Rusty Daisy Buddy Bilbo Gizmo Maple""".split()

CITIES = """London Paris Berlin Madrid Rome Vienna Lisbon Oslo Dublin Athens Boston Chicago Denver Austin Seattle Toronto
Tokyo Kyoto Seoul Delhi Cairo Lagos Nairobi Sydney Lima Quito Bergen Leeds Bristol Geneva Zurich Munich Hamburg Cologne Turin
Naples Porto Prague Krakow Tallinn Riga Utrecht Ghent Lyon Nice Malmo Galway""".split()
CITY_FIRST = "New San Port Saint West East North Upper Lower Old Fort Mount Lake Santa Los Great".split()
CITY_SECOND = "Haven York Bridge Valley Field Harbour Springs Rock Falls Hill Bay Ford Orleans Cross Park Beach".split()

COLOURS = """red blue green yellow purple orange teal pink black white grey brown turquoise violet crimson indigo olive
maroon gold silver navy beige lavender scarlet""".split()
FOODS = """pizza pasta sushi ramen curry soup salad tacos dumplings risotto pancakes waffles chocolate cheese noodles rice
lasagne falafel hummus paella goulash porridge stew burgers chips kimchi""".split()
DRINKS = "coffee tea water juice cocoa lemonade milk cider beer wine espresso matcha cola kombucha".split()
FRUITS = "apples pears plums mangoes cherries grapes peaches kiwis figs melons bananas lemons oranges berries".split()
GROCERIES = """milk eggs bread butter flour sugar salt pepper rice pasta cheese honey apples bananas carrots onions potatoes
tomatoes garlic coffee tea soap candles yoghurt oats beans olives nuts chicken fish batteries lemons spinach ginger""".split()
SPORTS = "tennis football chess rugby swimming running cricket hockey golf rowing climbing judo skiing surfing".split()
ANIMALS = "foxes otters owls whales penguins tigers hedgehogs wolves pandas bees turtles crows seals lynxes".split()
FLOWERS = "roses tulips lilies daisies poppies orchids violets sunflowers irises peonies lavender jasmine".split()
SEASONS = "spring summer autumn winter".split()
JOBS = """teacher nurse baker carpenter pilot farmer lawyer doctor plumber painter writer librarian gardener chef tailor
mechanic dentist translator engineer beekeeper potter sailor violinist welder""".split()
INSTRUMENTS = "piano violin guitar cello flute drums trumpet harp clarinet banjo accordion oboe".split()
ALLERGENS = "peanuts pollen cats dust shellfish milk eggs wheat soy bees penicillin strawberries walnuts".split()

WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
PREPOSITIONS = ["in", "on", "under", "behind", "next to", "inside", "on top of", "near", "beside", "below"]
ADJECTIVES = """blue red green old new big small wooden top bottom left right white black yellow round broken leather metal
empty second first grey brown plastic""".split()
SPOTS = """drawer box bag table desk shelf cupboard bed sofa chair garage kitchen hall basket car shed garden cellar attic
fridge window door wardrobe safe suitcase bookcase bathroom office bench jar piano stove lamp rug mirror stairs""".split()
