--- @include reading
-- ARGV: turn. Newest first.
return turns_to(ARGV[1])
