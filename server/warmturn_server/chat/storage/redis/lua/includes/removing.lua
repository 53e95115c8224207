--- @include keys
-- Unnamed records belong to no turn; up to version 0.1.0 others could be based on them. Without any they can go.
local function leave_unnamed(id)
  if redis.call('HGET', key('record', id), 'named') == '0' and not exists('based', id) then
    redis.call('ZADD', KEYS[1] .. 'leaves', redis.call('HGET', key('record', id), 'seq'), id)
  end
end

local function remove_record(id)
  local base, named, digests = unpack(redis.call('HMGET', key('record', id), 'base', 'named', 'digests'))
  redis.call('DEL', key('record', id))
  for start = 1, #digests, DIGEST_BYTES do
    redis.call('ZREM', key('beginning', digests:sub(start, start + DIGEST_BYTES - 1)), id)
  end
  if named == '0' then
    redis.call('ZREM', KEYS[1] .. 'leaves', id)
    redis.call('DECR', KEYS[1] .. 'unnamed')
  end
  if base ~= '' then
    redis.call('ZREM', key('based', base), id)
    leave_unnamed(base)
  end
end

local function count(id, field, step)
  if exists('turn', id) then redis.call('HINCRBY', key('turn', id), field, step) end
end

local function reached(id)
  local stored, children, heads = unpack(redis.call('HMGET', key('turn', id), 'stored', 'children', 'heads'))
  return stored == '1' or (tonumber(children or '0') or 0) > 0 or (tonumber(heads or '0') or 0) > 0
end

local function drop_unnamed()
  while true do
    local leaf = redis.call('ZRANGE', KEYS[1] .. 'leaves', 0, 0)[1]
    if not leaf then return end
    remove_record(leaf)
  end
end

-- The turn's record goes unless others are based on it.
local function collect_record(id, removed, parts)
  if not exists('record', id) then return end
  local record = key('record', id)
  if exists('based', id) then
    if redis.call('HGET', record, 'named') ~= '0' then
      redis.call('HSET', record, 'named', '0')
      redis.call('INCR', KEYS[1] .. 'unnamed')
    end
    return
  end
  climb('record', 'base', id, function(part) parts[part] = redis.call('HGET', key('record', part), 'value') end)
  remove_record(id)
  removed[#removed + 1] = id
end

-- Removes each of `waiting`, last first, that nobody reaches, then its parents while nobody reaches them either.
-- Gives the ids of the records removed, and all parts that those consisted of.
local function collect(waiting)
  local removed, parts = {}, {}
  while #waiting > 0 do
    local id = table.remove(waiting)
    if not reached(id) then
      local parent, own = unpack(redis.call('HMGET', key('turn', id), 'parent', 'conversation'))
      redis.call('DEL', key('turn', id))
      if own and own ~= '' then redis.call('ZREM', key('own', own), id) end
      if parent and parent ~= '' then
        count(parent, 'children', -1)
        waiting[#waiting + 1] = parent
      end
      collect_record(id, removed, parts)
    end
  end
  drop_unnamed()
  local flat = {}
  for id, value in pairs(parts) do
    flat[#flat + 1] = id
    flat[#flat + 1] = value
  end
  return {'done', removed, flat}
end
