--- @include reading
-- ARGV: conversation. All that a turn on it needs: the conversation, its turns, and the last of their records.
local turns = turns_to(redis.call('HGET', key('conversation', ARGV[1]), 'at'))
local parts = {}
for _, turn in ipairs(turns) do
  if exists('record', turn[1]) then
    parts = parts_of({turn[1]})
    break
  end
end
return {conversation(ARGV[1]), turns, parts}
