--- @include keys
-- ARGV: turn
return redis.call('HMGET', key('turn', ARGV[1]), 'value', 'stored', 'conversation')
