--- @include keys
-- ARGV: conversation. Its turns, those that were undone too, with how many go on from each; and its head.
local head = redis.call('HGET', key('conversation', ARGV[1]), 'at') or ''
local rows, seen = {}, {}
local function see(turn)
  if seen[turn] then return false end
  seen[turn] = true
  local row = redis.call('HMGET', key('turn', turn), 'value', 'stored', 'conversation', 'children', 'heads')
  table.insert(row, 1, turn)
  rows[#rows + 1] = row
end
climb('turn', 'parent', head, see)
for _, turn in ipairs(redis.call('ZRANGE', key('own', ARGV[1]), 0, -1)) do
  if exists('turn', turn) then see(turn) end
end
return {head, rows}
