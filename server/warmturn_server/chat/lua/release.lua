-- ARGV: conversation, token
local lease = key('lease', ARGV[1])
local conversation = key('conversation', ARGV[1])
if redis.call('GET', lease) == ARGV[2] then redis.call('DEL', lease) end
if redis.call('HGET', conversation, 'holder') == ARGV[2] then redis.call('HDEL', conversation, 'holder') end
return {'done'}
