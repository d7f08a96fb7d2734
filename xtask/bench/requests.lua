-- For wrk: asks for the paths in a file, beneath the path of the URL, in turn. Each thread begins
-- somewhere else. The last line it prints is: requests, bytes, microseconds, errors.

local requests = {}
local current = 0
local threads = 0

function setup(thread)
  thread:set("first", threads * 7)
  threads = threads + 1
end

function init(args)
  for path in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", wrk.path .. path)
  end
  current = first
end

function request()
  current = current % #requests + 1
  return requests[current]
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("%d %d %d %d", summary.requests, summary.bytes, summary.duration, failed))
end
