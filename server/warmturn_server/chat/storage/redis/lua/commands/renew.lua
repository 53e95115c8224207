--- @include keys
-- ARGV: conversation, token, fence, milliseconds. A lease that ran out is taken again if nobody had one since; one that
-- was let go is not, though its renewal may have been on its way.
local lease, conversation = key('lease', ARGV[1]), key('conversation', ARGV[1])
local holder = redis.call('GET', lease)
if holder == ARGV[2] then
  redis.call('PEXPIRE', lease, ARGV[4])
elseif holder or redis.call('HGET', conversation, 'fence') ~= ARGV[3]
       or redis.call('HGET', conversation, 'holder') ~= ARGV[2] then
  return {'lost'}
else
  redis.call('SET', lease, ARGV[2], 'PX', ARGV[4])
end
return {'held'}
