-- What every load prints at its end: one line of JSON, times in microseconds.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"refused":%d,"socket_errors":%d,"timeouts":%d',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency.max, e.status, e.connect + e.read + e.write, e.timeout))
  if statuses then
    io.write(',"statuses":{')
    local first = true
    for code, count in pairs(statuses()) do
      io.write(string.format('%s"%s":%d', first and "" or ",", code, count))
      first = false
    end
    io.write("}")
  end
  io.write("}\n")
end
