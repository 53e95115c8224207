--- @include keys
-- Whether the holder's server had a mark (a channel that it listens to for as long as its process lives) and has none.
local function seems_dead(holder)
  local mark = string.match(holder, '^(%x+)%.')
  if not mark then return false, false end
  local heard = redis.pcall('PUBSUB', 'NUMSUB', 'warmturn:alive:' .. mark)
  return heard.err == nil and heard[2] == 0, heard.err == nil
end

-- Who another than `given_up`, a token that its owner has given up, keeps from the conversation; nil for nobody. `seen`:
-- how many milliseconds the caller saw left of the lease when it last looked, and was told that its holder seems to be
-- dead, less some; "" at first.
local function kept_by_another(id, given_up, seen)
  local lease = key('lease', id)
  local holder = redis.call('GET', lease)
  if not holder or holder == given_up then return nil end
  local left = redis.call('PTTL', lease)
  local dead, known = seems_dead(holder)
  if not dead then return {'taken', known and math.min(left, 1000) or left} end
  -- A living server that has just lost its connection renews its leases all the same.
  if seen == '' or left > tonumber(seen) then return {'orphaned', left} end
  return nil
end
