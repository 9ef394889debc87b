# A Rack service for puma.

VERSION = "@VERSION@"
VARIANT = "@VARIANT@"
PATTERN = "0123456789abcdef"
SLOW = PATTERN * 4096
SLICES = 20

exit!(3) if VARIANT == "exits-at-once"
if VARIANT == "never-ready"
  trap("TERM", "DEFAULT") # puma's own handler asks a server to stop that will never be there
  File.write(File.join(__dir__, "asleep.#{Process.pid}"), "")
  sleep
end
Thread.new { sleep 0.5; Process.kill(:KILL, Process.pid) } if VARIANT == "crashes-after-start"

# A body that puma writes slice by slice.
class Slow
  def initialize(milliseconds)
    @pause = milliseconds / 1000.0 / SLICES
  end

  def each
    SLICES.times do |part|
      sleep @pause
      from = SLOW.size * part / SLICES
      yield SLOW[from...(SLOW.size * (part + 1) / SLICES)]
    end
  end
end

run lambda { |env|
  if env["PATH_INFO"] == "/slow"
    length = SLOW.size
    body = Slow.new((env["QUERY_STRING"][/\bms=(\d+)/, 1] || 20_000).to_i)
  else
    text = "ok\n"
    unless env["PATH_INFO"] == "/healthz"
      text = %({"app":"puma","version":"#{VERSION}","pid":#{Process.pid},"payload":"#{PATTERN * 16}"}\n)
    end
    length, body = text.size, [text]
  end
  [200, { "Content-Type" => "application/json", "Content-Length" => length.to_s,
          "X-Version" => VERSION, "X-Pid" => Process.pid.to_s }, body]
}
