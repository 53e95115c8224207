--- @include deadline
-- ARGV: deadline, id, metadata
if exists('conversation', ARGV[2]) then
  redis.call('HSET', key('conversation', ARGV[2]), 'metadata', ARGV[3])
end
return {'done', conversation(ARGV[2])}
