"""A header and a row of feed wine_quality."""

HEADER = (
    "fixed acidity,volatile acidity,citric acid,residual sugar,chlorides,free sulfur dioxide,"
    "total sulfur dioxide,density,pH,sulphates,alcohol,quality\n"
)
ROW = "7,0.27,0.36,20.7,0.045,45,170,1.001,3,0.45,8.8,6\n"
