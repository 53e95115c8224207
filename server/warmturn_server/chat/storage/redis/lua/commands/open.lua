--- @include reading
-- ARGV: conversation, how many. All that a turn on it needs: the conversation, its turns, the last of their records, and
-- so many that go on from that elsewhere.
local turns = turns_to(redis.call('HGET', key('conversation', ARGV[1]), 'at'))
local parts, beside = {}, {}
for _, turn in ipairs(turns) do
  if exists('record', turn[1]) then
    parts, beside = parts_of({turn[1]}), based_on(turn[1], ARGV[2])
    break
  end
end
return {conversation(ARGV[1]), turns, parts, beside}
