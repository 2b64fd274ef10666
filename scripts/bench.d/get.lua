-- GET the paths in the file BENCH_PATHS in turn; with BENCH_KEY empty, the url's own path without a key.
-- Prints one line of JSON at the end.
local requests, at = {}, 0

function init(args)
  local key = os.getenv("BENCH_KEY")
  if key == nil or key == "" then
    requests[1] = wrk.format("GET")
    return
  end
  local headers = { Authorization = "Bearer " .. key }
  for path in io.lines(os.getenv("BENCH_PATHS")) do
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

dofile(os.getenv("BENCH_LUA") .. "/report.lua")
