-- POST one body again and again. BENCH_KEY, BENCH_BODY, BENCH_PREFER (may be empty) say what.
-- Prints one line of JSON at the end.
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.headers["Content-Type"] = "application/json"
local prefer = os.getenv("BENCH_PREFER")
if prefer and prefer ~= "" then
  wrk.headers["Prefer"] = prefer
end
dofile(os.getenv("BENCH_LUA") .. "/report.lua")
