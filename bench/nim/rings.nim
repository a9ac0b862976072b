# rings on Nim's ORC, the nearest relative: see rings/rings.h. One thread.
import std/[os, strutils, times, monotimes, random]

type Node = ref object
  next, prev: Node
  payload: int

proc number(name: string, otherwise: float): float =
  result = otherwise
  for i in countup(1, paramCount() - 1, 2):
    if paramStr(i) == name: result = parseFloat(paramStr(i + 1))

proc ring(size, value: int): Node =
  result = Node(payload: value)
  var last = result
  for i in 1 ..< size:
    let node = Node(payload: value + i)
    node.prev = last
    last.next = node
    last = node
  last.next = result
  result.prev = last

proc round(size, nodes: int): float =
  let start = getMonoTime()
  var sum = 0
  for i in 0 ..< nodes div size:
    let head = ring(size, i)
    sum += head.prev.payload
  GC_fullCollect()
  result = (getMonoTime() - start).inNanoseconds.float / 1e9
  doAssert sum > 0

proc main =
  let size = int(number("--ring", 10))
  let nodes = int(number("--nodes", 2e7))
  let length = int(number("--live", 0))
  var live = newSeq[Node](length)
  for x in live.mitems: x = Node()
  for x in live:
    x.next = live[rand(length - 1)]
    x.prev = live[rand(length - 1)]
  discard round(size, nodes div 10)
  let cpu = cpuTime()
  let seconds = round(size, nodes)
  let used = cpuTime() - cpu
  var peak = 0.0
  for line in lines("/proc/self/status"):
    if line.startsWith("VmHWM"): peak = parseFloat(line.splitWhitespace()[1]) * 1024 / 1e6
  echo "Mnodes_s=", nodes.float / seconds / 1e6, " wall_s=", seconds, " cpu_s=", used,
    " peak_mb=", peak
  quit 0

main()
