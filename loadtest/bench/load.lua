-- What wrk sends, and how it tells what came of it: one line of JSON.
--
-- The word after `--` says what to send: `get` (the request of the command line, the same each time), `upload`
-- (64 KiB) or `echo` (a nonce of its own with each request).

local SIZE = 65536

function init(args)
  local kind = args[1]
  if kind == "upload" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.body = string.rep("0123456789abcdef", SIZE / 16)
  elseif kind == "echo" then
    -- A global `request` makes wrk ask before each request; without it all are the same bytes.
    local path, number = wrk.path, 0
    function request()
      number = number + 1
      return wrk.format("GET", path .. "?nonce=" .. number)
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "bytes": %d, "median": %d, "p99": %d, "worst": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
