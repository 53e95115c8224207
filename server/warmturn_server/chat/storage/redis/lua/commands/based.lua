--- @include reading
-- ARGV: record, how many
return based_on(ARGV[1], ARGV[2])
