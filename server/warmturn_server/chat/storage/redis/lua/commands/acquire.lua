--- @include keys
-- ARGV: conversation, token, a token that its owner has given up, milliseconds
local lease, conversation = key('lease', ARGV[1]), key('conversation', ARGV[1])
if not exists('conversation', ARGV[1]) then return {'missing'} end
local holder = redis.call('GET', lease)
if holder == ARGV[2] then return {'held', redis.call('HGET', conversation, 'fence'), now_ms()} end
if holder and holder ~= ARGV[3] then return {'taken', redis.call('PTTL', lease)} end
redis.call('SET', lease, ARGV[2], 'PX', ARGV[4])
redis.call('HSET', conversation, 'holder', ARGV[2])
return {'held', redis.call('HINCRBY', conversation, 'fence', 1), now_ms()}
