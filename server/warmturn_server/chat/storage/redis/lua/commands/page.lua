--- @include keys
-- ARGV: the one before or '', whether newest first, how many
local all = KEYS[1] .. 'conversations'
local newest_first, edge = ARGV[2] == '1', false
if ARGV[1] ~= '' then
  edge = redis.call('ZSCORE', all, ARGV[1])
  if not edge then return false end
end
local ids
if newest_first then
  ids = redis.call('ZREVRANGEBYSCORE', all, edge and '(' .. edge or '+inf', '-inf', 'LIMIT', 0, ARGV[3])
else
  ids = redis.call('ZRANGEBYSCORE', all, edge and '(' .. edge or '-inf', '+inf', 'LIMIT', 0, ARGV[3])
end
local found = {}
for i, id in ipairs(ids) do found[i] = {id, conversation(id)} end
return found
