-- wrk: each send is as many requests as the argument behind "--" says.
init = function(arguments)
  local one = wrk.format("GET", "/")
  requests = string.rep(one, tonumber(arguments[1]))
end

request = function()
  return requests
end
