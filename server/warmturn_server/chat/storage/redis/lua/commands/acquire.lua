--- @include keys
-- ARGV: conversation, token, a token that its owner has given up, milliseconds, and how many the caller saw left of the
-- lease when it last looked, and was told that its holder seems to be dead, less some; "" at first.
local lease, conversation = key('lease', ARGV[1]), key('conversation', ARGV[1])

-- Whether the holder's server had a mark (a channel that it listens to for as long as its process lives) and has none.
local function seems_dead(holder)
  local mark = string.match(holder, '^(%x+)%.')
  if not mark then return false, false end
  local heard = redis.pcall('PUBSUB', 'NUMSUB', 'warmturn:alive:' .. mark)
  return heard.err == nil and heard[2] == 0, heard.err == nil
end

if not exists('conversation', ARGV[1]) then return {'missing'} end
local holder = redis.call('GET', lease)
if holder == ARGV[2] then return {'held', redis.call('HGET', conversation, 'fence'), now_ms()} end
if holder and holder ~= ARGV[3] then
  local left = redis.call('PTTL', lease)
  local dead, known = seems_dead(holder)
  if not dead then return {'taken', known and math.min(left, 1000) or left} end
  -- A living server that has just lost its connection renews its leases all the same.
  if ARGV[5] == '' or left > tonumber(ARGV[5]) then return {'orphaned', left} end
end
redis.call('SET', lease, ARGV[2], 'PX', ARGV[4])
redis.call('HSET', conversation, 'holder', ARGV[2])
return {'held', redis.call('HINCRBY', conversation, 'fence', 1), now_ms()}
