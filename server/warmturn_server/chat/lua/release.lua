-- ARGV: conversation, token
local lease = key('lease', ARGV[1])
if redis.call('GET', lease) == ARGV[2] then redis.call('DEL', lease) end
return {'done'}
