--- @include holder
-- ARGV: conversation, a token that its owner has given up, milliseconds that were seen (see `holder.lua`), token,
-- milliseconds
local lease, conversation = key('lease', ARGV[1]), key('conversation', ARGV[1])
if not exists('conversation', ARGV[1]) then return {'missing'} end
if redis.call('GET', lease) == ARGV[4] then return {'held', redis.call('HGET', conversation, 'fence'), now_ms()} end
local kept = kept_by_another(ARGV[1], ARGV[2], ARGV[3])
if kept then return kept end
redis.call('SET', lease, ARGV[4], 'PX', ARGV[5])
redis.call('HSET', conversation, 'holder', ARGV[4])
return {'held', redis.call('HINCRBY', conversation, 'fence', 1), now_ms()}
