--- @include deadline
-- ARGV: deadline
redis.call('SET', KEYS[1] .. 'room', '', 'PX', 1000)
return {'done'}
