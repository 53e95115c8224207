--- @include keys
-- What is removed can be told only once, so the reply is kept for a while, for the caller who asks again.
-- ARGV[2] names the request. An oversized reply is not kept: then the state of what was deleted stays until evicted.
local function answered() return redis.call('GET', key('answer', ARGV[2])) end
local function keep_answer(reply)
  redis.pcall('SET', key('answer', ARGV[2]), cmsgpack.pack(reply), 'PX', 10000)
  return reply
end
local before = answered()
if before then
  redis.pcall('SET', KEYS[1] .. 'asked', ARGV[2])
  return cmsgpack.unpack(before)
end
