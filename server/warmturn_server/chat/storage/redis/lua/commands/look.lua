--- @include holder
-- ARGV: conversation, a token that its owner has given up, milliseconds that were seen (see `holder.lua`)
return kept_by_another(ARGV[1], ARGV[2], ARGV[3]) or {'free'}
