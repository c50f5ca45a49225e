LINES = """\
10.0.0.1 - - [04/Mar/2024:10:00:00 +0100] "GET / HTTP/1.1" 200 512 "-" "Firefox"
10.0.0.1 - - [04/Mar/2024:10:00:01 +0100] "GET /style.css HTTP/1.1" 200 90 "https://shop.example/" "Firefox"
10.0.0.1 - ada [04/Mar/2024:10:20:00 +0100] "GET /shoes/?q=red++Shoes HTTP/1.1" 200 700 "https://shop.example/" "Firefox"
10.0.0.2 - - [04/Mar/2024:11:00:00 +0100] "GET /shoes HTTP/1.1" 200 700 "https://www.Search.example/?q=shoes" "Safari"
10.0.0.2 - - [05/Mar/2024:09:00:00 +0100] "POST /cart HTTP/1.1" 500 - "https://shop.example/shoes" "Safari"
10.0.0.3 - - [05/Mar/2024:09:30:00 +0100] "GET /boots?q=red+shoes HTTP/1.0" 404 30 "https://blog.example/post" "Chrome"
10.0.0.9 - - [05/Mar/2024:09:31:00 +0100] "GET /shoes HTTP/1.1" 200 700 "-" "SearchBot/2.1"
""".splitlines()
