--- @include deadline
--- @include once
--- @include removing
-- ARGV: deadline, request, turn
redis.call('DEL', KEYS[1] .. 'asked') -- a full Redis lets a script go on that began with a removal
if exists('turn', ARGV[3]) then redis.call('HSET', key('turn', ARGV[3]), 'stored', '0') end
return keep_answer(collect({ARGV[3]}))
