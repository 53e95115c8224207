-- Of each digest of a text's beginning; the same number stands in `prefix_digests.py`.
local DIGEST_BYTES = 16

-- Every key begins with KEYS[1], which holds the tenant's hash tag: all of a tenant's log is in one slot of a cluster.
local function key(kind, id) return KEYS[1] .. kind .. ':' .. id end
local function exists(kind, id) return redis.call('EXISTS', key(kind, id)) == 1 end
local function next_seq() return redis.call('INCR', KEYS[1] .. 'seq') end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local CONVERSATION = {'version', 'born', 'head', 'hidden', 'metadata'}
local function conversation(id)
  return redis.call('HMGET', key('conversation', id), unpack(CONVERSATION))
end

local function release(id, token)
  if redis.call('GET', key('lease', id)) == token then redis.call('DEL', key('lease', id)) end
  if redis.call('HGET', key('conversation', id), 'holder') == token then
    redis.call('HDEL', key('conversation', id), 'holder')
  end
end

-- From `id` by the field `up` to the root, told to `see(id)`; a ring, which only a damaged log has, ends it.
local function climb(kind, up, id, see)
  local seen = {}
  while id and id ~= '' and not seen[id] and exists(kind, id) do
    seen[id] = true
    if see(id) == false then return end
    id = redis.call('HGET', key(kind, id), up)
  end
end
