--- @include keys
-- ARGV: conversation
return conversation(ARGV[1])
