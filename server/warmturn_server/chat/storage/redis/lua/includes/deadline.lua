--- @include keys
-- ARGV[1] is when, by Redis's clock, the caller will have given up: what was refused must not be written afterwards.
if now_ms() >= tonumber(ARGV[1]) then return {'late', now_ms()} end
