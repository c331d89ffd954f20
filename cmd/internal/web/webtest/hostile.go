package webtest

import "strings"

// Trap is the name of a global variable that every script in Hostile sets: window[Trap] must stay undefined.
const Trap = "trapped"

// Hostile are texts that others might write, by name.
var Hostile = map[string]string{
	"script":          "<script>window.trapped = 1</script>",
	"image":           "<img src=x onerror='window.trapped = 1'>",
	"vector":          "<svg onload='window.trapped = 1'></svg>",
	"frame":           "<iframe src='javascript:parent.trapped=1'></iframe>",
	"link":            "<a href='javascript:window.trapped=1' autofocus onfocus='window.trapped=1'>x</a>",
	"style":           "<style>* { display: none }</style>",
	"base":            "<base href='https://evil.example/'>",
	"refresh":         "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
	"form":            "</form><form action='https://evil.example/'><input name=x autofocus>",
	"closing":         "--></textarea></title></style></script><script>window.trapped = 1</script>",
	"attribute":       "\" onmouseover=\"window.trapped=1\" x=\"",
	"template":        "{{.}} ${window.trapped=1} {{constructor.constructor('window.trapped=1')()}}",
	"entity":          "&lt;script&gt;window.trapped=1&lt;/script&gt; &#60;script&#62;",
	"JSON":            "\"}],\"last\":\"\u2028\u2029</script><script>window.trapped=1</script>",
	"event stream":    "\n\ndata: {}\nevent: reset\nid: 1\n\n",
	"override":        "invoice\u202egpj.exe",
	"isolates":        "\u2066\u2067\u2068 unfinished",
	"embedding":       "\u202a\u202b\u202d all the way \u202c",
	"marks":           "left\u200eright\u200farabic\u061c",
	"zero width":      "A\u200b\u200c\u200d\u2060\ufeffB",
	"fillers":         "\u3164\u115f\u1160\uffa0\u2800",
	"tags":            "x\U000e0068\U000e0069\U000e007f",
	"ANSI":            "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[H",
	"controls":        "bell\a back\b\b null\x00 delete\x7f next\u0085",
	"carriage return": "true\rfake",
	"stacked":         "Z" + strings.Repeat("\u0351\u0310\u0334", 60),
	"long word":       strings.Repeat("unbreakable", 150),
	"wide":            "\ufdfd\U00012031\U0001242b\ufdfd",
	"Korean":          "안녕하세요, 반갑습니다",
	"Arabic":          "مرحبا بالعالم",
	"Hebrew, English": "שלום hello שלום",
	"emoji":           "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1f0\U0001f1f7 \u0031\ufe0f\u20e3 \U0001f44d\U0001f3fd",
}
