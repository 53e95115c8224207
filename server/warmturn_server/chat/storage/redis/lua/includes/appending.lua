--- @include removing
-- One turn, from ARGV[first] on; '' is none. Names as in `Append`.
local function read_append(first)
  local names = {'conversation', 'expected', 'head', 'token', 'fence', 'turn', 'turn_value', 'parent', 'own', 'stored',
                 'record', 'record_value', 'base', 'digests'}
  local append = {}
  for i, name in ipairs(names) do append[name] = ARGV[first + i - 1] end
  return append
end

-- So that a caller who does not know whether an append succeeded may repeat it. The write is for WAITAOF, which waits
-- for the writes of its own connection only.
local function is_known(append)
  local known = exists('turn', append.turn)
  if known then redis.pcall('SET', KEYS[1] .. 'asked', append.turn .. append.record) end
  return known
end

local function refusal(append)
  if append.conversation ~= '' then
    local version, fence = unpack(redis.call('HMGET', key('conversation', append.conversation), 'version', 'fence'))
    if version ~= append.expected then return 'changed' end
    if append.token ~= '' and (fence or '0') ~= append.fence then return 'stale' end
  end
  if append.parent ~= '' and not exists('turn', append.parent) then return 'gone' end
end

local function write_turn(append, seq)
  redis.call('HSET', key('turn', append.turn), 'value', append.turn_value, 'parent', append.parent,
             'conversation', append.own, 'stored', append.stored, 'seq', seq)
  if append.parent ~= '' then count(append.parent, 'children', 1) end
  if append.own ~= '' then redis.call('ZADD', key('own', append.own), seq, append.turn) end
end

-- A record whose base is gone cannot be read: it is not kept.
local function write_record(append, seq)
  if append.base ~= '' and not exists('record', append.base) then return end
  redis.call('HSET', key('record', append.record), 'value', append.record_value, 'base', append.base,
             'digests', append.digests, 'seq', seq)
  for start = 1, #append.digests, DIGEST_BYTES do
    redis.call('ZADD', key('beginning', append.digests:sub(start, start + DIGEST_BYTES - 1)), seq, append.record)
  end
  if append.base ~= '' then
    redis.call('ZADD', key('based', append.base), seq, append.record)
  end
end

local function move_head(append)
  local conversation = key('conversation', append.conversation)
  local before = redis.call('HGET', conversation, 'at')
  redis.call('HSET', conversation, 'head', append.head, 'at', append.turn, 'version', append.expected + 1)
  if before and before ~= '' then count(before, 'heads', -1) end
  count(append.turn, 'heads', 1)
end

-- The first write is one that a full Redis refuses: then the whole is refused, and not its second half.
local function write_append(append)
  local seq = next_seq()
  write_turn(append, seq)
  if append.record ~= '' then write_record(append, seq) end
  if append.conversation ~= '' then move_head(append) end
end
