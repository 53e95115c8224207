--- @include removing
-- What version 0.1.0 kept of turns that were not to be stored.
drop_unnamed()
redis.call('DEL', KEYS[1] .. 'leaves')
return {'done'}
