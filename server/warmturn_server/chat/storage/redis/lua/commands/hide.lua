--- @include deadline
-- ARGV: deadline, id, expected version, hidden
local conversation = key('conversation', ARGV[2])
local version, hidden = unpack(redis.call('HMGET', conversation, 'version', 'hidden'))
if hidden == ARGV[4] then
  redis.pcall('SET', KEYS[1] .. 'asked', ARGV[2])
  return {'done'}
end
if version ~= ARGV[3] then return {'changed'} end
redis.call('HSET', conversation, 'hidden', ARGV[4], 'version', version + 1)
return {'done'}
