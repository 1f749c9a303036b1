-- ARGV[1]: a Load as redis_codec packs it. Replies what it reads, at one moment.
return loaded(ARGV[1])
