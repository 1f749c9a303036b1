-- ARGV: a Load as redis_codec writes it. Replies what it reads, at one moment.
return loaded(1)
