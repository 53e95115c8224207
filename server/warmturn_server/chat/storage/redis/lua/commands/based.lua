--- @include keys
-- ARGV: record, how many
local found = {}
for i, id in ipairs(redis.call('ZREVRANGE', key('based', ARGV[1]), 0, ARGV[2] - 1)) do
  found[i] = {id, redis.call('HGET', key('record', id), 'value')}
end
return found
