-- Like post.lua, but counts the answers by status and says `reached` after BENCH_LIMIT of them: wrk itself
-- sleeps until its time is over or a SIGINT comes. For one thread of wrk.
dofile(os.getenv("BENCH_LUA") .. "/post.lua")
local limit = tonumber(os.getenv("BENCH_LIMIT"))
local threads = {}
local answered = 0
seen = {} -- By status as text: wrk copies tables with such keys only.

function setup(thread)
  threads[#threads + 1] = thread
end

function response(status, headers, body)
  local code = tostring(status)
  seen[code] = (seen[code] or 0) + 1
  answered = answered + 1
  if answered == limit then
    io.write("reached\n")
    io.flush()
    wrk.thread:stop()
  end
end

function statuses()
  local sum = {}
  for _, thread in ipairs(threads) do
    for code, count in pairs(thread:get("seen")) do
      sum[code] = (sum[code] or 0) + count
    end
  end
  return sum
end
