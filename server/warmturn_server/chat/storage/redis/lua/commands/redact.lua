--- @include deadline
--- @include removing
-- ARGV: deadline, then of each turn: id, its value and how many turns and conversations go on from it, all as they were
-- read; the value that takes its place, and whether its response can still be asked for. Their records go.
local turns, ours = {}, {}
for i = 2, #ARGV, 6 do
  turns[#turns + 1] = {id = ARGV[i], was = ARGV[i + 1], children = ARGV[i + 2], heads = ARGV[i + 3],
                       value = ARGV[i + 4], stored = ARGV[i + 5]}
  ours[ARGV[i]] = true
end
for _, turn in ipairs(turns) do
  local value, children, heads = unpack(redis.call('HMGET', key('turn', turn.id), 'value', 'children', 'heads'))
  if value ~= turn.was or (children or '0') ~= turn.children or (heads or '0') ~= turn.heads then return {'changed'} end
  for _, record in ipairs(redis.call('ZRANGE', key('based', turn.id), 0, -1)) do
    if not ours[record] then return {'shared'} end
  end
end
for _, turn in ipairs(turns) do
  redis.call('HSET', key('turn', turn.id), 'value', turn.value)
  if turn.stored == '0' then redis.call('HSET', key('turn', turn.id), 'stored', '0') end
end
for _, turn in ipairs(turns) do
  if exists('record', turn.id) then remove_record(turn.id) end
end
return {'done'}
