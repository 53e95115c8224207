--- @include deadline
--- @include appending
local append = read_append(2)
if not is_known(append) then
  local refused = refusal(append)
  if refused then return {refused} end
  write_append(append)
end
if append.token ~= '' then release(append.conversation, append.token) end
return {'done'}
