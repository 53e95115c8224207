--- @include keys
-- ARGV: conversation, token
release(ARGV[1], ARGV[2])
return {'done'}
