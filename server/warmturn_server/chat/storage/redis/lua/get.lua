-- ARGV: conversation
return conversation(ARGV[1])
