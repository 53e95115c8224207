--- @include deadline
--- @include once
--- @include removing
-- ARGV: deadline, request, id
local id = ARGV[3]
local at = redis.call('HGET', key('conversation', id), 'at')
if not at then return {'done', {}, {}} end
redis.call('DEL', key('conversation', id), key('lease', id))
redis.call('ZREM', KEYS[1] .. 'conversations', id)
local waiting = {}
if at ~= '' then
  count(at, 'heads', -1)
  waiting[1] = at
end
for _, turn in ipairs(redis.call('ZRANGE', key('own', id), 0, -1)) do
  redis.call('HSET', key('turn', turn), 'stored', '0', 'conversation', '')
  waiting[#waiting + 1] = turn
end
redis.call('DEL', key('own', id))
return keep_answer(collect(waiting))
