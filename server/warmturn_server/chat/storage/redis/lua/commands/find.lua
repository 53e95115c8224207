--- @include keys
-- ARGV: how many, digests. Those that own the last of them that anybody owns, newest first.
for start = #ARGV[2] - DIGEST_BYTES + 1, 1, -DIGEST_BYTES do
  local found = redis.call('ZREVRANGE', key('beginning', ARGV[2]:sub(start, start + DIGEST_BYTES - 1)), 0, ARGV[1] - 1)
  if #found > 0 then return found end
end
return {}
