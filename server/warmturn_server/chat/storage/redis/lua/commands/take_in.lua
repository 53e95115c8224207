--- @include deadline
--- @include appending
-- ARGV: deadline, id, version, head's turn, born, head, hidden, metadata, how many turns follow, the turns in order
-- The head's turn has a new name: where it is there, this was carried out before, and its caller does not know it.
local FIRST, OF_A_TURN = 10, 14
local id, version, at = ARGV[2], ARGV[3], ARGV[4]
if exists('conversation', id) then
  redis.pcall('SET', KEYS[1] .. 'asked', id)
  return {exists('turn', at) and 'done' or 'exists'}
end
for number = 0, ARGV[9] - 1 do write_append(read_append(FIRST + number * OF_A_TURN)) end
redis.call('ZADD', KEYS[1] .. 'conversations', next_seq(), id)
redis.call('HSET', key('conversation', id), 'version', version, 'at', at, 'fence', 0,
           'born', ARGV[5], 'head', ARGV[6], 'hidden', ARGV[7], 'metadata', ARGV[8])
count(at, 'heads', 1)
return {'done'}
