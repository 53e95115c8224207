--- @include reading
-- ARGV: records
return parts_of(ARGV)
