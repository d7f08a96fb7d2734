-- For wrk: the last line of its output is: requests, bytes, microseconds, errors.

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("%d %d %d %d", summary.requests, summary.bytes, summary.duration, failed))
end
