--- @include keys
local function turns_to(id)
  local line = {}
  climb('turn', 'parent', id, function(turn)
    line[#line + 1] = redis.call('HMGET', key('turn', turn), 'value', 'stored', 'conversation')
    table.insert(line[#line], 1, turn)
  end)
  return line
end

-- The records of `ids` with all that they are based on, each once.
local function parts_of(ids)
  local parts, seen = {}, {}
  for _, id in ipairs(ids) do
    climb('record', 'base', id, function(part)
      if seen[part] then return false end
      seen[part] = true
      parts[#parts + 1] = {part, redis.call('HGET', key('record', part), 'value')}
    end)
  end
  return parts
end

-- The newest records that go on from that of `id`.
local function based_on(id, limit)
  local found = {}
  for i, other in ipairs(redis.call('ZREVRANGE', key('based', id), 0, limit - 1)) do
    found[i] = {other, redis.call('HGET', key('record', other), 'value')}
  end
  return found
end
