--- @include deadline
--- @include appending
-- ARGV: deadline, id, version, head's turn, born, head, hidden, metadata, whether a turn follows, the turn
local id, version, at = ARGV[2], ARGV[3], ARGV[4]
if exists('conversation', id) then
  redis.pcall('SET', KEYS[1] .. 'asked', id)
  return {'done'}
end
if at ~= '' and not exists('turn', at) then return {'gone'} end
local append = ARGV[9] == '1' and read_append(10)
if append and append.parent ~= '' and not exists('turn', append.parent) then return {'gone'} end
redis.call('ZADD', KEYS[1] .. 'conversations', next_seq(), id)
redis.call('HSET', key('conversation', id), 'version', version, 'at', at, 'fence', 0,
           'born', ARGV[5], 'head', ARGV[6], 'hidden', ARGV[7], 'metadata', ARGV[8])
if at ~= '' then count(at, 'heads', 1) end
if append then write_append(append) end
return {'done'}
