--- @include keys
-- ARGV: request whose reply arrived
redis.call('DEL', key('answer', ARGV[1]))
return {'done'}
